"""HTTPS: certificates, and who trusts them.

store         the authority's files, which only the user can read
environment   what children find in their environment, so that they believe us
freshness     the daemon's part in that
subject       the file names of a certificate directory
authority     certificates for single names                       [pure]
"""

"""HTTPS: certificates, and who trusts them.

store         the authority's files, which only the user can read
authority     certificates for single names                       [pure]
"""

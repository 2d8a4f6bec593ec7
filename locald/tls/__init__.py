"""HTTPS: certificates, and who trusts them.

store         the authority's files, which only the user can read
authority     certificates for single names                       [pure]
names         which hosts a certificate is for                    [pure]
glance        what is known of the authority without cryptography
parameters    what every TLS context of ours has
context       which certificate a client gets, made in its handshake
own           certificates that the user brings
offer         whether https:// will do for a host
"""

"""HTTPS: certificates, and who trusts them.

store         the authority's files, which only the user can read
keeper        the user's side of the ceremony: root starts it as the user, who alone has the key
environment   what children find in their environment, so that they believe us
freshness     the daemon's part in that
subject       the file names of a certificate directory
authority     certificates for single names                       [pure]
der           a certificate taken apart without cryptography      [pure]
names         which hosts a certificate is for                    [pure]
glance        what is known of the authority without cryptography
parameters    what every TLS context of ours has
context       which certificate a client gets, made in its handshake
own           certificates that the user brings
offer         whether the system trusts what is signed
https         all of that as the daemon has it
roots         our roots as stores have them, and what a store is [pure]
trust         who trusts what, whatever the system; all of the user's own stores at once
trust_linux   the stores there are on Linux
trust_darwin  the one there is on macOS
browsers_linux  where the user's browsers have their NSS databases, on Linux
nss           an NSS database, worked on by a program of its own:
nss_library   that program, through libnss3
nss_certutil  the same by certutil, where there is no libnss3
system_linux  those that are the whole system's, on Linux: its bundle, and Java's
"""

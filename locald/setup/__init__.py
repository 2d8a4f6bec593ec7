"""What runs as root, once, by `sudo locald-setup`; nothing else does.

main      the command: what is asked for, what is said
plan      the steps from what is there to what is wanted
policy    the text of the policy file  [pure]
files     root's files: checked parents, written whole or not at all
form      setuid, or a file capability  [pure]
source    the helper that pip installed, and whether it still is that one
authority the certificate authority: a root that lives for a moment, and what it signs  [pure]
apparmor  the helper's profile, where the system has AppArmor
audit     --check: what is installed, looked at piece by piece
elevate   without root: the exact command, and an offer to run it
"""

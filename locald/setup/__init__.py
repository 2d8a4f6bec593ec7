"""What runs as root, once, by `sudo locald-setup`; nothing else does.

main      the command: what is asked for, what is said
step      one change of a plan, known before any is made  [pure]
plan      the steps for helper, policy and profile
policy    the text of the policy file  [pure]
files     root's files: checked parents, written whole or not at all
form      setuid, or a file capability  [pure]
source    the helper that pip installed, and whether it still is that one
processes the programs that root starts: bounded in time and in what they say
person    the user whom it is for, and the processes that root starts as that user
domains   the names that an authority may sign for  [pure]
authority the certificate authority: a root that lives for a moment, and what it signs  [pure]
certificates  the steps from key to trust, and back
roots     roots of ours among others, and what a store does with them  [pure]
anchors   the system's trust store on Linux: four layouts, and by hand
anchors_darwin  the System keychain of macOS
java      Java's store on Debian, which nothing else clears
hosts     /etc/hosts: the names of a user's routes
block     the text of that file, and what in it is ours  [pure]
apparmor  the helper's profile, where the system has AppArmor
audit     --check: what is installed, looked at piece by piece
elevate   without root: the exact command, and an offer to run it
"""

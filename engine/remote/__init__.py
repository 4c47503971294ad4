"""The engine of another machine, over the system's OpenSSH: nothing listens there but sshd."""

"""What `perso doctor` looks at: one module per part of the line, one small function per check, all of them real."""

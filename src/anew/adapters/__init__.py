"""What the ports ask for, done with one technology each: one file, or one family of files, per technology."""

"""The engine that runs the loop: live, replayed or simulated; the only place where effects run."""

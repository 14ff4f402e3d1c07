"""The machine: processes, memory, time, and the errors of code from outside."""

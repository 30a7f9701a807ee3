"""A whole consensus group in one process: virtual clock, faulty network, disks that forget what was not flushed."""

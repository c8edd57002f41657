"""The plan of a study, its status in a run folder, and estimates of time, disk and memory."""

"""What a run tells to the experiment trackers that its trainings report to."""

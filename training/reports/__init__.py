"""What the commands share: options, run folders, figures, diagrams."""

"""What every component stands on: settings, errors, files, locks and the printing of text; imports nothing of ours."""

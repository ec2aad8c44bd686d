"""What a comparison will take: time and memory, told before it starts and corrected while it runs."""

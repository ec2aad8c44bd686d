"""What is asked of attribution, whoever answers; and how a served model is asked."""

"""What does a pair of Llama-2-7B's shape take on one GPU?  In minutes, resumable, with random weights."""

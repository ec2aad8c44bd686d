"""Forward mode written out for models of Llama's build: what `forward` computes, with less around the products."""

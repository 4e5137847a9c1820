"""What Jupyter needs: the server extension, the kernel's discovery of models, the displays."""

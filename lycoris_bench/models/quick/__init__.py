"""What drawing and training compute more quickly than the libraries do, with the same equations."""

"""How the weights of the miniature world are trained and measured."""

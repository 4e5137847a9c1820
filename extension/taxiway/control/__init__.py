"""The control plane: the ledger, the desired state in it, and the agent that makes it so."""

"""The identity phase that AdaPS and SePS share: transitions, encoder, clusters."""

"""Remote arms: endpoints and libraries behind lm-eval's own model classes."""

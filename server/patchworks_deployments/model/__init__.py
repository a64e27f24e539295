"""What a deployment is: reading odd answers, comparing, rendering and masking it."""

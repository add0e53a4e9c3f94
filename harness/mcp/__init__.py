"""What another program may ask of studies and runs over the Model Context Protocol, on stdio."""

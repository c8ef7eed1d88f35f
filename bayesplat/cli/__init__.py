"""The command line: `bayesplat demo | fit | predict | compare`."""

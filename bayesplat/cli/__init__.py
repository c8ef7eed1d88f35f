"""The command line: `bayesplat demo | fit | resume | predict | compare | report`."""

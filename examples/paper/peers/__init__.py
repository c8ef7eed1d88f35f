"""The methods that the paper's experiments compare splats against, each a function of data that returns a `Fitted`."""

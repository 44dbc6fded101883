"""The pure core: facts and a proposal go in, a ruling comes out. It reads no clock, network, file or environment by itself."""

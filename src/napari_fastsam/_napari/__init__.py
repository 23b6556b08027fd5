"""The only home of napari, magicgui and Qt: thin faces over `napari_fastsam.pipeline`."""

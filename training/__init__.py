"""Trains, judges and exports the models that geotag recognises landmarks with."""

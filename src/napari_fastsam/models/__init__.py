"""The only home of torch, ultralytics and open_clip."""

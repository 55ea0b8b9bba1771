"""python -m geotag."""

from geotag.cli import main

if __name__ == "__main__":
    main()

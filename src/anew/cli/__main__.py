"""``python -m anew.cli``: the same as the `anew` command."""

from anew.cli._light import main

__all__: list[str] = []

if __name__ == "__main__":
    main()

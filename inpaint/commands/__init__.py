"""The commands of `inpaint`, one a file: each has `main(argv, program)`. `inpaint build` is data_prep/build_h5.py."""

"""The figures that a sceptical engineer would ask for, each measured beside its alternative.

make bench
.venv/bin/python -m benchmarks [SECTION…] [--json] [--records N]
"""

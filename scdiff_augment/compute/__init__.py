"""How things are computed, whatever they are: threads, devices, processes, the training loop.

Stratified random numbers (`stratified`) and layers of networks (`layers`) are here too. Knows no
cells, and imports nothing of the other rooms. `process_rank` does without torch.
"""

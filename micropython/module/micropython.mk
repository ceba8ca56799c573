# SPDX-License-Identifier: MIT
SRC_USERMOD_C += $(addprefix $(USERMOD_DIR)/, binding.c frozen.c heap.c main.c _syscalls.c)
CFLAGS_USERMOD += -I$(USERMOD_DIR)

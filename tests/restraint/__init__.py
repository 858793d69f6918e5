"""The doctor leaves the healthy alone: machines that the matrix says are well, and ill ones after their cure."""

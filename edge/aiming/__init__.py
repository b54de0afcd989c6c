"""Tools for an installer who aims a camera. They show images, so they are programs of their own: the daemon cannot."""

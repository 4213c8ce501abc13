"""What people look at: pictures of labels."""

"""Who is told: notifications rendered, delivered, and delivered again until they are taken."""

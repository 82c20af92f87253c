"""What each entity allows and does: create, update, void, delete."""

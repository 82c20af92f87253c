"""Delete Meltano's bookmarks of the demo environment only. Called by `make reset-demo`."""

from __future__ import annotations

from pathlib import Path

from meltano.core.db import project_engine
from meltano.core.project import Project
from meltano.core.state_service import StateService


def main() -> None:
    """Delete every state of the environment `demo`."""
    project = Project.find(str(Path(__file__).parent.parent))
    if not (project.root / ".meltano" / "meltano.db").exists():
        return
    _, session_maker = project_engine(project)
    with session_maker() as session:
        states = StateService(project=project, session=session)
        for state_id in list(states.list_state("demo:*")):
            states.clear_state(state_id)


if __name__ == "__main__":
    main()

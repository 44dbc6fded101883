"""each action names the approval that it carries out

Revision: 20261123_action_approvals, after 20261123_console_sessions
"""

import sqlalchemy as sa
from alembic import op

revision = "20261123_action_approvals"
down_revision = "20261123_console_sessions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("actions", sa.Column("approval_id", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_actions_approval_id"), "actions", "approvals", ["approval_id"], ["id"])


def downgrade() -> None:
    op.drop_constraint(op.f("fk_actions_approval_id"), "actions", type_="foreignkey")
    op.drop_column("actions", "approval_id")

"""budgets, switches, published policies, and rulings in columns

Revision: 20261123_standing_and_rulings, after 20261123_action_approvals
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261123_standing_and_rulings"
down_revision = "20261123_action_approvals"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("decisions", sa.Column("standing", postgresql.JSONB(), nullable=True))
    op.add_column("decisions", sa.Column("shadow", postgresql.JSONB(), nullable=True))
    op.create_index("ix_decisions_at", "decisions", ["at", "id"])
    op.add_column("actions", sa.Column("claims", postgresql.JSONB(), nullable=False, server_default=sa.text("'[]'")))
    op.add_column("actions", sa.Column("claimed_hour", _TIME, nullable=True))
    op.create_table(
        "budget_hours",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("hour", _TIME, nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", "hour", "unit", name=op.f("pk_budget_hours")),
    )
    op.create_table(
        "switched_off",
        sa.Column("switch", sa.Text(), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("switch", name=op.f("pk_switched_off")),
    )
    _create_policies()
    _create_rulings()


def _create_policies() -> None:
    op.create_table(
        "published_policies",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("overlay", sa.Text(), nullable=True),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("published_at", _TIME, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("report", postgresql.JSONB(), nullable=True),
        sa.Column("ended_at", _TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_published_policies")),
    )
    op.create_index(op.f("ix_published_policies_sha256"), "published_policies", ["sha256"])
    op.create_index(
        "uq_published_policies_current", "published_policies", ["mode"], unique=True, postgresql_where=sa.text("ended_at IS NULL")
    )


def _create_rulings() -> None:
    op.create_table(
        "ruling_segments",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("first_at", _TIME, nullable=False),
        sa.Column("last_at", _TIME, nullable=False),
        sa.Column("format", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ruling_segments")),
    )
    op.create_index(op.f("ix_ruling_segments_last_at"), "ruling_segments", ["last_at"])
    op.create_table(
        "ruling_columns",
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["segment_id"], ["ruling_segments.id"], name=op.f("fk_ruling_columns_segment_id")),
        sa.PrimaryKeyConstraint("segment_id", "name", name=op.f("pk_ruling_columns")),
    )
    # Columns are encoded already; to compress them once more would only slow reading down.
    op.execute("ALTER TABLE ruling_columns ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "archived_rulings",
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("segment_id", sa.BigInteger(), nullable=False),
        sa.Column("row", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_archived_rulings_decision_id")),
        sa.ForeignKeyConstraint(["segment_id"], ["ruling_segments.id"], name=op.f("fk_archived_rulings_segment_id")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_archived_rulings")),
    )
    op.create_index("ix_archived_rulings_place", "archived_rulings", ["segment_id", "row"])


def downgrade() -> None:
    for table in ("archived_rulings", "ruling_columns", "ruling_segments", "published_policies", "switched_off", "budget_hours"):
        op.drop_table(table)
    op.drop_column("actions", "claimed_hour")
    op.drop_column("actions", "claims")
    op.drop_index("ix_decisions_at", "decisions")
    op.drop_column("decisions", "shadow")
    op.drop_column("decisions", "standing")

"""blind audits of what was decided without a person

Revision: 20261123_audits, after 20261123_standing_and_rulings
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261123_audits"
down_revision = "20261123_standing_and_rulings"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "audits",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text(), nullable=False),
        sa.Column("decision_id", sa.Text(), nullable=False),
        sa.Column("drawn_at", _TIME, nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("keys", postgresql.JSONB(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("answered", sa.Text(), nullable=False),
        sa.Column("label", postgresql.JSONB(), nullable=True),
        sa.Column("wrong", sa.Boolean(), nullable=True),
        sa.Column("judged_by", sa.Text(), nullable=True),
        sa.Column("judged_at", _TIME, nullable=True),
        sa.Column("forgotten_at", _TIME, nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_audits_case_id")),
        sa.ForeignKeyConstraint(["decision_id"], ["decisions.id"], name=op.f("fk_audits_decision_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audits")),
        sa.UniqueConstraint("case_id", "model", name=op.f("uq_audits_case_id_model")),
    )
    op.create_index("ix_audits_open", "audits", ["drawn_at"], postgresql_where=sa.text("judged_at IS NULL"))
    op.create_index("ix_audits_judged", "audits", ["model", "judged_at"])


def downgrade() -> None:
    op.drop_table("audits")

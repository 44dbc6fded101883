"""Actions on our own desk: notes, tags, links, tickets, notifications, ownership and snoozing. They touch no other system."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.clients.port import Done, Ending, Failed, Task
from app.database import Sessions, write
from app.ids import new_id
from app.tables import Annotation, Case
from app.world import Clock
from guardrails.taxonomy import Action, Team

KIND: Mapping[Action, str] = {
    Action.ADD_NOTE: "note",
    Action.ADD_TAG: "tag",
    Action.LINK_CASES: "link",
    Action.ASSIGN_OWNER: "assignment",
    Action.NOTIFY_OWNER: "notification",
    Action.OPEN_TICKET: "ticket",
    Action.SNOOZE_CASE: "snooze",
}
SNOOZE_DEFAULT_H = 24
SNOOZE_MAX_H = 24 * 14


@dataclass(frozen=True, slots=True)
class Desk:
    """Every effect leaves one annotation per action id, so that sending it twice changes nothing."""

    sessions: Sessions
    clock: Clock
    repeatable: bool = True

    async def carry_out(self, task: Task) -> Ending:
        try:
            body = _body(task)
        except ValueError as error:
            return Failed(str(error))
        now = self.clock()
        async with write(self.sessions) as session:
            row = insert(Annotation).values(
                id=new_id("ann", now),
                case_id=task.case_id,
                kind=KIND[task.action],
                body=body,
                action_id=task.action_id,
                at=now,
                by=task.requested_by,
            )
            made = (await session.execute(row.on_conflict_do_nothing().returning(Annotation.id))).scalar_one_or_none()
            if made is None:
                existing = select(Annotation.id).where(Annotation.action_id == task.action_id)
                return Done({"annotation": (await session.execute(existing)).scalar_one(), "repeated": True})
            await self._apply(session, task, body)
        return Done({"annotation": made, **body})

    async def _apply(self, session: AsyncSession, task: Task, body: Mapping[str, Any]) -> None:
        case = update(Case).where(Case.id == task.case_id)
        match task.action:
            case Action.SNOOZE_CASE:
                until = self.clock() + timedelta(hours=int(body["hours"]))
                await session.execute(case.values(snoozed_until=until, version=Case.version + 1))
            case Action.ASSIGN_OWNER:
                routed = case.where(Case.assignee.is_(None))  # what a person has assigned stays theirs
                await session.execute(routed.values(owner=body["owner"], version=Case.version + 1))


def _body(task: Task) -> dict[str, Any]:
    """The arguments, completed and checked. Raises ValueError with what is wrong."""
    given = dict(task.arguments)
    match task.action:
        case Action.SNOOZE_CASE:
            hours = given.get("hours", SNOOZE_DEFAULT_H)
            if type(hours) is not int or not 1 <= hours <= SNOOZE_MAX_H:
                raise ValueError(f"hours must be a whole number from 1 to {SNOOZE_MAX_H}")
            return {**given, "hours": hours}
        case Action.ASSIGN_OWNER:
            if given.get("owner") not in tuple(Team):
                raise ValueError("owner must be one of " + ", ".join(Team))
    return given

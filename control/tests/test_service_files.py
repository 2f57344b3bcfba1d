"""What holds for every file of a service."""

from control import registry
from control.ports import LISTENING


def test_each_file_holds_the_service_of_its_name():
    found = registry.plain_services()
    assert len(found) == 13
    assert {"cluster", "store"} <= set(registry.profile_names())
    optional = {name for profile in registry.profile_names() for name in registry.services_of_profile(profile)}
    assert set(found) | optional == set(registry.service_names())
    assert [each.place for each in found.values()] == sorted({each.place for each in found.values()})


def test_accounts_and_ports_have_one_service_each():
    users, roles = registry.users_of(), registry.roles_of()
    assert {"gateway", "redrive"} < {user.name for user in users}
    assert {"owner", "reader"} < {role.name for role in roles}
    for names in ([user.name for user in users], [role.name for role in roles], LISTENING):
        assert sorted(names) == sorted(set(names))

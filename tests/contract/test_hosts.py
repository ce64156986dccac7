import pytest

from hyops_assets.contract.hosts import require_host, require_server

NOWHERE = ["169.254.169.254", "fe80::1", "0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "ff02::1", "255.255.255.255"]
WRAPPED = [
    *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
    *("::169.254.169.254", "::ffff:0:169.254.169.254", "64:ff9b:1::a9fe:a9fe", "2001:0:1:1:1:1:5601:5601"),
]
CLOUDS = ["fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "::ffff:100.100.100.200"]


@pytest.mark.parametrize("host", NOWHERE + WRAPPED + CLOUDS)
def test_an_address_at_which_no_service_is_asked_is_refused_in_every_way_to_write_it(host: str) -> None:
    assert require_host(host)
    with pytest.raises(ValueError, match="at which no service is asked: give the service's name"):
        require_server(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "10.0.0.1", "fd00::1", "2001:db8::1", "github.com", "pve"])
def test_a_service_may_be_on_this_host_in_a_private_network_or_anywhere(host: str) -> None:
    assert require_server(host) == host

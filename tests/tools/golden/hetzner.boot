protocols {
    static {
        route 10.0.0.0/16 {
            next-hop 10.0.0.1 {
            }
        }
        route6 ::/0 {
            next-hop fe80::1 {
                interface "eth0"
            }
        }
    }
}
service {
    ssh {
        disable-password-authentication
        port "22"
    }
}
interfaces {
    ethernet eth1 {
        address "10.0.0.2/32"
    }
    ethernet eth0 {
        address "dhcp"
        address "2a01:4f8:beef:beef::1/64"
        hw-id "96:00:00:08:19:da"
    }
    loopback lo {
    }
}
system {
    time-zone "Europe/Berlin"
    name-server "185.12.64.1"
    name-server "2a01:4ff:ff00::add:2"
    name-server "2a01:4ff:ff00::add:1"
    config-management {
        commit-revisions "100"
    }
    console {
        device ttyS0 {
            speed "115200"
        }
    }
    host-name "edge1"
    login {
        user vyos {
            authentication {
                public-keys admin@example.net {
                    key "AAAAC3NzaC1lZDI1NTE5AAAAIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
                    type "ssh-ed25519"
                }
                encrypted-password "*"
            }
        }
    }
    syslog {
        local {
            facility all {
                level "info"
            }
        }
    }
}


// Warning: Do not remove the following line.
// vyos-config-version: "config-management@1:conntrack@5:interfaces@33:system@29"
// Release version: 2026.03.03-0027-rolling
